/* A native worker: takes one job at a time over HTTP, and writes down which
   version did which. The version is compiled in. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t stopping;
static void stop(int signal) { (void)signal; stopping = 1; }

/* The text behind "name":" in an answer. */
static int field(const char *answer, const char *name, char *to, size_t room) {
    char sign[64];
    snprintf(sign, sizeof sign, "\"%s\":\"", name);
    const char *from = strstr(answer, sign);
    if (!from) return 0;
    from += strlen(sign);
    size_t length = strcspn(from, "\"");
    if (length >= room) return 0;
    memcpy(to, from, length);
    to[length] = 0;
    return 1;
}

static int call(const char *body, char *answer, size_t room) {
    char token[256] = "", host[64], request[2048];
    int port, file = open(getenv("ALOUD_TOKEN_FILE"), O_RDONLY);
    if (file < 0 || read(file, token, sizeof token - 1) < 1) return 0;
    close(file);
    token[strcspn(token, "\n")] = 0;
    if (sscanf(getenv("ALOUD_URL"), "http://%63[^:]:%d", host, &port) != 2) return 0;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    int stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(stream, (struct sockaddr *)&to, sizeof to)) { close(stream); return 0; }
    int length = snprintf(request, sizeof request,
        "POST /v1/finish HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
        "Aloud-Worker: %s\r\nAloud-Release: %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
        host, port, token, getenv("ALOUD_WORKER"), getenv("ALOUD_RELEASE"), strlen(body), body);
    size_t have = 0;
    if (write(stream, request, (size_t)length) == length)
        for (;;) {
            ssize_t more = read(stream, answer + have, room - 1 - have);
            if (more < 0 && stopping) continue;
            if (more <= 0) break;
            have += (size_t)more;
        }
    close(stream);
    answer[have] = 0;
    return strstr(answer, " 200 ") != NULL;
}

int main(void) {
    struct sigaction on_stop = {.sa_handler = stop};
    sigaction(SIGTERM, &on_stop, NULL);
    int book = open(getenv("BOOK"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    char acks[512] = "", body[1024], answer[8192], id[128], lease[128];
    for (;;) {
        const char *wish = ",\"lease\":{\"queues\":[\"default\"],\"worker\":\"c\",\"limit\":1,\"wait\":\"500ms\",\"for\":\"20s\"}";
        if (stopping && !acks[0]) return 0;
        snprintf(body, sizeof body, "{\"acks\":[%s]%s}", acks, stopping ? "" : wish);
        if (!call(body, answer, sizeof answer)) { usleep(100000); continue; }
        acks[0] = 0;
        if (strstr(answer, "\"quiet\":true")) stopping = 1;
        char *jobs = strstr(answer, "\"jobs\":[");
        if (!jobs || !field(jobs, "id", id, sizeof id) || !field(jobs, "lease", lease, sizeof lease)) continue;
        struct timeval now;
        gettimeofday(&now, NULL);
        dprintf(book, "%s %s %ld.%06ld\n", id, VERSION, (long)now.tv_sec, (long)now.tv_usec);
        snprintf(acks, sizeof acks, "{\"id\":\"%s\",\"lease\":\"%s\"}", id, lease);
    }
}
