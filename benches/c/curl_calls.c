/* The job through libcurl and cJSON, with the checks that libmde makes. */
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

struct buffer {
    char *data;
    size_t length, room;
};

struct client {
    CURL *easy;
    struct curl_slist *headers;
    struct buffer body;
    char *get_url, *collect_url, *authorization;
};

static int failed(const char *what, const char *detail)
{
    fprintf(stderr, "curl: %s: %s\n", what, detail);
    return 1;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct buffer *body = user;
    size_t length = size * count;

    if (length > MAX_REPLY - body->length)
        return 0;
    if (body->length + length + 1 > body->room) {
        size_t room = 2 * (body->length + length + 1);
        char *data_now = realloc(body->data, room);
        if (data_now == NULL)
            return 0;
        body->data = data_now;
        body->room = room;
    }
    memcpy(body->data + body->length, data, length);
    body->length += length;
    body->data[body->length] = '\0';
    return length;
}

static char *join(const char *first, const char *second, const char *third)
{
    size_t room = strlen(first) + strlen(second) + strlen(third) + 1;
    char *text = malloc(room);
    if (text != NULL)
        snprintf(text, room, "%s%s%s", first, second, third);
    return text;
}

static void close_client(struct client *c)
{
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    free(c->body.data);
    free(c->get_url);
    free(c->collect_url);
    free(c->authorization);
    memset(c, 0, sizeof *c);
}

static int add_header(struct client *c, const char *line)
{
    struct curl_slist *longer = curl_slist_append(c->headers, line);
    if (longer == NULL)
        return failed("setting up", "no memory");
    c->headers = longer;
    return 0;
}

static int open_client(struct client *c, const struct job *job)
{
    int collect = strcmp(job->mode, "collect") == 0;

    c->easy = curl_easy_init();
    c->get_url = join(job->url, "/api/machineactions/", ACTION_ID);
    c->collect_url = join(job->url, "/api/machines/" MACHINE_ID, "/collectInvestigationPackage");
    c->authorization = join("Authorization: Bearer ", job->token, "");
    if (c->easy == NULL || c->get_url == NULL || c->collect_url == NULL || c->authorization == NULL)
        return failed("setting up", "no memory");
    if (add_header(c, c->authorization) || add_header(c, "Accept: " ACCEPT)
        || add_header(c, "Accept-Encoding: identity")
        || (collect && add_header(c, "Content-Type: application/json")))
        return 1;
    curl_easy_setopt(c->easy, CURLOPT_URL, collect ? c->collect_url : c->get_url);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(c->easy, CURLOPT_USERAGENT, USER_AGENT);
    curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, 300000L);
    curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_TIME, 60L);
    curl_easy_setopt(c->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (job->ca != NULL)
        curl_easy_setopt(c->easy, CURLOPT_CAINFO, job->ca);
    /* Debian presets a directory as well, with which libcurl does not cache the parsed certificates. */
    curl_easy_setopt(c->easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, &c->body);
    return 0;
}

static const char *text(const cJSON *object, const char *name)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return value == NULL ? "" : value;
}

/* {"action":<the body unchanged>} or {"action":…,"adopted":…} */
static char *document(const struct buffer *body, int collect, int adopted)
{
    static const char head[] = "{\"action\":";
    const char *tail = !collect ? "}" : adopted ? ",\"adopted\":true}" : ",\"adopted\":false}";
    const char *start = body->data, *end = body->data + body->length;
    char *json, *at;

    while (start < end && strchr(" \t\r\n", *start) != NULL)
        start++;
    while (end > start && strchr(" \t\r\n", end[-1]) != NULL)
        end--;
    json = malloc(sizeof head + (size_t)(end - start) + strlen(tail));
    if (json == NULL)
        return NULL;
    at = json;
    memcpy(at, head, sizeof head - 1);
    at += sizeof head - 1;
    memcpy(at, start, (size_t)(end - start));
    at += end - start;
    strcpy(at, tail);
    return json;
}

/* Whether the reply is an older action: another comment, or created a minute before the service's date. */
static int is_older(CURL *easy, const cJSON *action)
{
    struct curl_header *header;
    time_t now = -1, created;
    char plain[64];

    if (strcmp(text(action, "requestorComment"), COMMENT) != 0)
        return 1;
    if (curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        now = curl_getdate(header->value, NULL);
    /* 2026-01-24T22:17:02.36Z as "20260124 22:17:02" */
    if (strlen(text(action, "creationDateTimeUtc")) < 19)
        return 0;
    snprintf(plain, sizeof plain, "%.4s%.2s%.2s %.8s", text(action, "creationDateTimeUtc"),
             text(action, "creationDateTimeUtc") + 5, text(action, "creationDateTimeUtc") + 8,
             text(action, "creationDateTimeUtc") + 11);
    created = curl_getdate(plain, NULL);
    return now != -1 && created != -1 && now - created > 60;
}

static int call(struct client *c, int collect)
{
    const char *type = NULL, *id, *status, *machine;
    char *json = NULL, *post = NULL;
    cJSON *action, *body;
    long code = 0;
    CURLcode result;

    c->body.length = 0;
    if (collect) {
        body = cJSON_CreateObject();
        cJSON_AddStringToObject(body, "Comment", COMMENT);
        post = cJSON_PrintUnformatted(body);
        cJSON_Delete(body);
        if (post == NULL)
            return failed("calling", "no memory");
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, post);
    }
    result = curl_easy_perform(c->easy);
    cJSON_free(post);
    if (result != CURLE_OK)
        return failed("calling", curl_easy_strerror(result));
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &code);
    if (code < 200 || code > 299)
        return failed("calling", "status");
    curl_easy_getinfo(c->easy, CURLINFO_CONTENT_TYPE, &type);
    if (type == NULL || strncmp(type, "application/json", 16) != 0 || c->body.length == 0)
        return failed("calling", "content type");
    action = cJSON_ParseWithLengthOpts(c->body.data, c->body.length + 1, NULL, 1);
    id = text(action, "id");
    status = text(action, "status");
    machine = text(action, "machineId");
    if (cJSON_IsObject(action) && *id != '\0' && *status != '\0' && *machine != '\0')
        json = document(&c->body, collect, collect && is_older(c->easy, action));
    cJSON_Delete(action);
    if (json == NULL)
        return failed("calling", "not an action");
    free(json);
    return 0;
}

int bench_run(const struct job *job)
{
    int fresh = strcmp(job->mode, "fresh") == 0;
    int collect = strcmp(job->mode, "collect") == 0;
    struct client client = {0};
    int bad = 0;
    long i;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return failed("setting up", "curl_global_init");
    for (i = 0; i < job->count && !bad; i++) {
        if (client.easy == NULL)
            bad = open_client(&client, job);
        if (!bad)
            bad = call(&client, collect);
        if (fresh)
            close_client(&client);
    }
    close_client(&client);
    curl_global_cleanup();
    return bad;
}
