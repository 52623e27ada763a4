/* The load: so many clients at once, each with one connection and one request under way, from one thread.
 *
 *   load PORT PATH PAYLOAD CLIENTS SECONDS    prints: answers, seconds, how many others, how many connections broke
 *
 * A connection that breaks off is not made again: what it takes to break one is a result too.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS = 1024, SIZE = 1 << 16 };

static char buffers[CLIENTS][SIZE];
static size_t used[CLIENTS];

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Whether a whole answer has come; then the buffer is empty again. */
static int complete(int client) {
    char *data = buffers[client];
    data[used[client]] = 0;
    char *end = strstr(data, "\r\n\r\n");
    if (end == NULL) return 0;
    char *named = strcasestr(data, "\r\ncontent-length:");
    size_t body = named != NULL && named < end ? strtoul(named + 17, NULL, 10) : 0;
    if (used[client] < (size_t)(end - data) + 4 + body) return 0;
    used[client] = 0;
    return 1;
}

int main(int count, char **words) {
    if (count != 6) return 2;
    int clients = atoi(words[4]), on = 1, open = 0, sockets[CLIENTS];
    double seconds = atof(words[5]);
    char request[4096];
    int length = snprintf(request, sizeof request,
        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", words[2], strlen(words[3]), words[3]);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (clients < 1 || clients > CLIENTS || length >= (int)sizeof request) return 2;
    int poll = epoll_create1(0);
    long answers = 0, refused = 0;
    double begin = now();
    for (int i = 0; i < clients; i++) {
        sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(sockets[i], (void *)&address, sizeof address) != 0) {
            perror("load");
            return 1;
        }
        setsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)i};
        epoll_ctl(poll, EPOLL_CTL_ADD, sockets[i], &event);
        open++;
        send(sockets[i], request, (size_t)length, MSG_NOSIGNAL);
    }
    while (open > 0 && now() - begin < seconds) {
        struct epoll_event events[CLIENTS];
        int ready = epoll_wait(poll, events, CLIENTS, 100);
        for (int i = 0; i < ready; i++) {
            int client = (int)events[i].data.u32;
            ssize_t got = recv(sockets[client], buffers[client] + used[client], SIZE - used[client] - 1, 0);
            if (got <= 0) {
                close(sockets[client]);
                open--;
                continue;
            }
            used[client] += (size_t)got;
            int fine = strncmp(buffers[client], "HTTP/1.1 200", 12) == 0;
            if (!complete(client)) continue;
            if (fine) answers++;
            else refused++;
            send(sockets[client], request, (size_t)length, MSG_NOSIGNAL);
        }
    }
    printf("%ld %.6f %ld %d\n", answers, now() - begin, refused, clients - open);
    return 0;
}
