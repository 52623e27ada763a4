/* The floor: the least that anything between a client and AWS's runtime client can do.
 *
 * One thread, one port, one epoll. An invocation waits until an environment asks for its next event, an environment
 * waits until there is one; heads are canned, bodies are passed on as they are. Nothing is checked, logged, recorded
 * or frozen. No emulator that speaks to the same runtime client can be faster, whatever it is written in.
 *
 *   floor        prints the port that it listens on, and serves until it is killed
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
#include <sys/uio.h>
#include <unistd.h>

enum { CONNECTIONS = 16384, EVENTS = 128, FIRST_SIZE = 1 << 16 };

struct connection {
    char *data; /* what has come and is not served yet */
    size_t used, size;
};

struct queue { /* of descriptors; the youngest or the oldest can be taken */
    int items[CONNECTIONS];
    unsigned first, end;
};

static struct connection connections[CONNECTIONS];
static struct queue idle, waiting; /* environments without an event, events without an environment */
static size_t body_at[CONNECTIONS], body_length[CONNECTIONS]; /* of a waiting event, in its connection's data */

static unsigned count(const struct queue *queue) { return queue->end - queue->first; }
static void put(struct queue *queue, int item) { queue->items[queue->end++ % CONNECTIONS] = item; }
static int take_oldest(struct queue *queue) { return queue->items[queue->first++ % CONNECTIONS]; }
static int take_youngest(struct queue *queue) { return queue->items[--queue->end % CONNECTIONS]; }

static void drop(struct queue *queue, int item) {
    for (unsigned left = count(queue); left > 0; left--) {
        int other = take_oldest(queue);
        if (other != item) put(queue, other);
    }
}

static void answer(int descriptor, const char *head, size_t head_length, const char *body, size_t length) {
    struct iovec parts[2] = {{(void *)head, head_length}, {(void *)body, length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    while (parts[0].iov_len + parts[1].iov_len > 0) {
        ssize_t sent = sendmsg(descriptor, &message, MSG_NOSIGNAL);
        if (sent <= 0) return; /* it has gone away */
        for (int i = 0; i < 2; i++) {
            size_t gone = (size_t)sent < parts[i].iov_len ? (size_t)sent : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + gone;
            parts[i].iov_len -= gone;
            sent -= (ssize_t)gone;
        }
    }
}

/* The number of the client's connection is the end of the request id: so the response finds its way back. */
static void hand_out(int environment, int client, const char *body, size_t length) {
    char head[512];
    int head_length = snprintf(head, sizeof head,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        "Lambda-Runtime-Aws-Request-Id: 6f1a0c5e-0000-4000-8000-%012d\r\n"
        "Lambda-Runtime-Deadline-Ms: 4102444800000\r\n"
        "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:echo\r\n"
        "Lambda-Runtime-Trace-Id: Root=1-00000000-000000000000000000000000;Sampled=0\r\n"
        "Content-Length: %zu\r\n\r\n", client, length);
    answer(environment, head, (size_t)head_length, body, length);
}

static int ends_with(const char *path, size_t length, const char *end) {
    size_t wanted = strlen(end);
    return length >= wanted && memcmp(path + length - wanted, end, wanted) == 0;
}

/* Serves one request; 0 where it has to stay in the buffer, because no environment is free. */
static int serve(int descriptor, char *head, size_t body_offset, size_t length) {
    char *path = strchr(head, ' ') + 1;
    size_t path_length = (size_t)(strchr(path, ' ') - path);
    const char *body = head + body_offset;
    if (ends_with(path, path_length, "/next")) {
        if (count(&waiting) == 0) {
            put(&idle, descriptor);
            return 1;
        }
        int client = take_oldest(&waiting);
        struct connection *of = &connections[client];
        hand_out(descriptor, client, of->data + body_at[client], body_length[client]);
        of->used = 0; /* a client asks for one thing at a time */
        return 1;
    }
    if (ends_with(path, path_length, "/invocations")) {
        if (count(&idle) > 0) {
            hand_out(take_youngest(&idle), descriptor, body, length);
            return 1;
        }
        body_at[descriptor] = body_offset;
        body_length[descriptor] = length;
        put(&waiting, descriptor);
        return 0;
    }
    if (ends_with(path, path_length, "/response") || ends_with(path, path_length, "/error")) {
        static const char accepted[] = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
                                       "Content-Length: 16\r\n\r\n{\"status\":\"OK\"}\n";
        char reply[256];
        const char *number = memmem(path, path_length, "-8000-", 6);
        int reply_length = snprintf(reply, sizeof reply,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Amz-Executed-Version: $LATEST\r\n"
            "Content-Length: %zu\r\n\r\n", length);
        if (number != NULL) answer(atoi(number + 6), reply, (size_t)reply_length, body, length);
        answer(descriptor, accepted, sizeof accepted - 1, NULL, 0);
        return 1;
    }
    static const char unknown[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    answer(descriptor, unknown, sizeof unknown - 1, NULL, 0);
    return 1;
}

static void serve_all(int descriptor) {
    struct connection *of = &connections[descriptor];
    while (of->used > 0) {
        char *end = memmem(of->data, of->used, "\r\n\r\n", 4);
        if (end == NULL) return;
        size_t head = (size_t)(end - of->data) + 4;
        *end = 0; /* strcasestr wants an end */
        char *named = strcasestr(of->data, "\r\ncontent-length:");
        size_t body = named != NULL ? strtoul(named + 17, NULL, 10) : 0;
        *end = '\r';
        if (of->used < head + body) return;
        if (!serve(descriptor, of->data, head, body)) return;
        of->used -= head + body;
        memmove(of->data, of->data + head + body, of->used);
    }
}

static void read_some(int descriptor) {
    struct connection *of = &connections[descriptor];
    if (of->size - of->used < FIRST_SIZE / 2) {
        of->size = of->size == 0 ? FIRST_SIZE : of->size * 2;
        of->data = realloc(of->data, of->size);
        if (of->data == NULL) abort();
    }
    ssize_t got = recv(descriptor, of->data + of->used, of->size - of->used - 1, 0);
    if (got <= 0) {
        drop(&idle, descriptor);
        drop(&waiting, descriptor);
        of->used = 0;
        close(descriptor);
        return;
    }
    of->used += (size_t)got;
    serve_all(descriptor);
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (bind(listener, (void *)&address, sizeof address) != 0 || listen(listener, 1024) != 0) {
        perror("floor");
        return 1;
    }
    getsockname(listener, (void *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                read_some(events[i].data.fd);
                continue;
            }
            int descriptor = accept(listener, NULL, NULL);
            if (descriptor < 0) continue;
            if (descriptor >= CONNECTIONS) {
                close(descriptor);
                continue;
            }
            setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            event.data.fd = descriptor;
            epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event);
        }
    }
}
