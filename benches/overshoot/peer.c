#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 32
#define DRIP_MS 100

#define HEAD(status, more, length) \
    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n" more "Content-Length: " length "\r\n\r\n"
static const char unavailable[] = HEAD("503 Service Unavailable", "Retry-After: 30\r\n", "2") "{}";
static const char answer[] = HEAD("200 OK", "", "45") "{\"id\":\"5382f7ea-7557-4ab7-9782-d50480024a4e\"}";
static const char drip[] = HEAD("200 OK", "", "100000");

struct peer {
    int listener;
    enum behaviour behaviour;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Returns whether the connection stays open. */
static int serve(int fd, enum behaviour behaviour, int *dripping)
{
    char request[65536];
    const char *reply = behaviour == PEER_DRIP ? drip : behaviour == PEER_ANSWER ? answer : unavailable;
    ssize_t got = recv(fd, request, sizeof request, MSG_DONTWAIT);

    if (got == 0 || (got < 0 && errno != EAGAIN))
        return 0;
    /* A request without a body fits into one segment of the loopback interface. */
    if (got > 0 && behaviour != PEER_SILENT) {
        *dripping = behaviour == PEER_DRIP;
        return send(fd, reply, strlen(reply), MSG_NOSIGNAL) > 0;
    }
    return 1;
}

/* Checks that a call that was stopped while it sent has left part of its request unsent. */
static void hang_up(int fd)
{
    struct timeval patience = {5, 0};
    char taken[65536];
    ssize_t got, all = 0;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
        die("setsockopt");
    while ((got = recv(fd, taken, sizeof taken, 0)) > 0)
        all += got;
    if (got < 0)
        die("recv");
    if (all == 0 || all >= LARGE_REQUEST) {
        fprintf(stderr, "%ld bytes were sent to a peer that does not read\n", (long)all);
        exit(1);
    }
    close(fd);
}

/* Only the latest call is still running. */
static void ignore_all(int listener)
{
    int fd, before = -1;

    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        if (before >= 0)
            hang_up(before);
        before = fd;
    }
    die("accept");
}

static void *run(void *argument)
{
    struct peer *peer = argument;
    struct pollfd fds[CONNECTIONS + 1];
    int dripping[CONNECTIONS + 1] = {0};
    nfds_t used = 1, i;
    struct timespec last, now;

    if (peer->behaviour == PEER_DEAF)
        ignore_all(peer->listener);
    clock_gettime(CLOCK_MONOTONIC, &last);
    fds[0].fd = peer->listener;
    fds[0].events = POLLIN;
    for (;;) {
        if (poll(fds, used, peer->behaviour == PEER_DRIP ? 10 : -1) < 0)
            die("poll");
        clock_gettime(CLOCK_MONOTONIC, &now);
        int due = (now.tv_sec - last.tv_sec) * 1000 + (now.tv_nsec - last.tv_nsec) / 1000000 >= DRIP_MS;
        if (due)
            last = now;
        for (i = 1; i < used;) {
            int keep = 1;
            if (fds[i].revents != 0)
                keep = serve(fds[i].fd, peer->behaviour, &dripping[i]);
            if (keep && due && dripping[i])
                keep = send(fds[i].fd, " ", 1, MSG_NOSIGNAL) == 1;
            if (keep) {
                i++;
                continue;
            }
            close(fds[i].fd);
            used--;
            fds[i] = fds[used];
            dripping[i] = dripping[used];
        }
        if ((fds[0].revents & POLLIN) != 0 && used <= CONNECTIONS) {
            fds[used].fd = accept(peer->listener, NULL, NULL);
            if (fds[used].fd < 0)
                die("accept");
            fds[used].events = POLLIN;
            fds[used].revents = 0;
            dripping[used] = 0;
            used++;
        }
    }
    return NULL;
}

/* Connects until the backlog is full, so that every further connection hangs. */
static void fill(const struct sockaddr_in *to)
{
    int i;
    for (i = 0; i < 64; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct pollfd one = {fd, POLLOUT, 0};
        if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
            die("socket");
        if (connect(fd, (const struct sockaddr *)to, sizeof *to) == 0)
            continue;
        if (errno != EINPROGRESS)
            die("connect");
        if (poll(&one, 1, 200) == 0)
            return;
    }
    fprintf(stderr, "the backlog does not fill up\n");
    exit(1);
}

/*
 * A sender's kernel buffers ten segments and more. On loopback each has 64 KiB, so it would take any request whole,
 * and sending would never wait. Connections inherit both options.
 */
static void narrow(int listener)
{
    int buffer = 1024, segment = 200;
    if (setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer) != 0
        || setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment) != 0)
        die("setsockopt");
}

int peer_start(enum behaviour behaviour)
{
    struct sockaddr_in at;
    socklen_t length = sizeof at;
    struct peer *peer = malloc(sizeof *peer);
    pthread_t thread;

    if (peer == NULL)
        die("malloc");
    peer->behaviour = behaviour;
    peer->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (behaviour == PEER_DEAF)
        narrow(peer->listener);
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (peer->listener < 0 || bind(peer->listener, (struct sockaddr *)&at, sizeof at) != 0
        || listen(peer->listener, behaviour == PEER_FULL ? 0 : 64) != 0
        || getsockname(peer->listener, (struct sockaddr *)&at, &length) != 0)
        die("listen");
    if (behaviour == PEER_FULL)
        fill(&at);
    else if (pthread_create(&thread, NULL, run, peer) != 0)
        die("pthread_create");
    return ntohs(at.sin_port);
}
