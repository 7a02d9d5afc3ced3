/* The floor: the same bytes over one socket, with nothing checked but status line and length. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

static int failed(const char *what)
{
    fprintf(stderr, "raw: %s\n", what);
    return 1;
}

static int dial(const char *url)
{
    struct sockaddr_in to;
    int port, one = 1, fd;

    if (sscanf(url, "http://127.0.0.1:%d", &port) != 1)
        return -1;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((unsigned short)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int call(int fd, const char *request, size_t length)
{
    static char reply[65536];
    size_t have = 0, need = 0;

    if (send(fd, request, length, MSG_NOSIGNAL) != (ssize_t)length)
        return failed("send");
    while (need == 0 || have < need) {
        ssize_t got = recv(fd, reply + have, sizeof reply - 1 - have, 0);
        const char *end, *field;
        if (got <= 0)
            return failed("recv");
        have += (size_t)got;
        reply[have] = '\0';
        if (need != 0 || (end = strstr(reply, "\r\n\r\n")) == NULL)
            continue;
        if (strncmp(reply, "HTTP/1.1 20", 11) != 0)
            return failed("status");
        if ((field = strstr(reply, "Content-Length: ")) == NULL || field > end)
            return failed("no length");
        need = (size_t)(end + 4 - reply) + strtoul(field + 16, NULL, 10);
        if (need >= sizeof reply)
            return failed("too long");
    }
    return 0;
}

int bench_run(const struct job *job)
{
    static const char body[] = "{\"Comment\":\"" COMMENT "\"}";
    static char request[40000];
    int collect = strcmp(job->mode, "collect") == 0;
    int fd = dial(job->url), length;
    long i;

    if (fd < 0)
        return failed("connect (http://127.0.0.1:port only)");
    length = snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: %s\r\n", collect
        ? "POST /api/machines/" MACHINE_ID "/collectInvestigationPackage"
        : "GET /api/machineactions/" ACTION_ID, job->url + strlen("http://"));
    if (collect)
        length += snprintf(request + length, sizeof request - (size_t)length,
                           "Content-Type: application/json\r\nContent-Length: %zu\r\n", sizeof body - 1);
    length += snprintf(request + length, sizeof request - (size_t)length,
                       "Authorization: Bearer %s\r\nAccept: " ACCEPT "\r\nAccept-Encoding: identity\r\n"
                       "User-Agent: " USER_AGENT "\r\n\r\n%s", job->token, collect ? body : "");
    for (i = 0; i < job->count; i++)
        if (call(fd, request, (size_t)length))
            return 1;
    close(fd);
    return 0;
}
