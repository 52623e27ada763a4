/* Writes the monotonic clock, in nanoseconds, into a file that others read, for as long as it is let run.
 *
 *   ticker FILE
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count != 2) return 2;
    int file = open(words[1], O_RDWR | O_CREAT, 0644);
    if (file < 0 || ftruncate(file, sizeof(int64_t)) != 0) return 1;
    volatile int64_t *now = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (now == MAP_FAILED) return 1;
    for (;;) {
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        *now = (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
    }
}
