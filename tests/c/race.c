/* Two threads whose log callback counts lines. With "locked" they take a lock for that. With "unlocked" they race, which a checker
 * of threads has to find. */
#include <pthread.h>

#include "service.h"

enum { CALLS = 20 };

static struct {
    pthread_mutex_t lock;
    int takes_lock;
    int count;
} lines = {PTHREAD_MUTEX_INITIALIZER, 1, 0};

static void count_line(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    (void)level;
    (void)message;
    if (lines.takes_lock) {
        pthread_mutex_lock(&lines.lock);
    }
    lines.count++;
    if (lines.takes_lock) {
        pthread_mutex_unlock(&lines.lock);
    }
}

static void *list_actions(void *client) {
    for (int n = 0; n < CALLS; n++) {
        mde_list_actions(client, "", NULL, NULL);
    }
    return NULL;
}

int main(int count, char **words) {
    if (count != 2) {
        printf("usage: race locked|unlocked\n");
        return 2;
    }
    lines.takes_lock = strcmp(words[1], "locked") == 0;
    CHECK(mde_log_set(count_line, NULL, NULL, MDE_LOG_INFO) == MDE_OK, "refused");
    mde_client *client = client_from(service_options());
    pthread_t threads[2];
    for (int n = 0; n < 2; n++) {
        CHECK(pthread_create(&threads[n], NULL, list_actions, client) == 0, "no thread");
    }
    for (int n = 0; n < 2; n++) {
        pthread_join(threads[n], NULL);
    }
    mde_client_free(client);
    CHECK(mde_log_set(NULL, NULL, NULL, MDE_LOG_OFF) == MDE_OK, "refused");
    CHECK(lines.count > 0, "no line was logged");
    return finish();
}
