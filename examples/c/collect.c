/*
 * collect: asks Microsoft Defender for Endpoint to collect an investigation package from one device.
 *
 * A small but complete program around mde.h, in plain C99 for POSIX and Windows. It shows settings,
 * logging, Ctrl-C, and how results and errors are read without a JSON library. tool.c has the code that
 * it shares with fetch.c, which also downloads the package.
 *
 *     cc -std=c99 collect.c tool.c -lmde -pthread -o collect
 */
#include "tool.h"

static const char USAGE[] =
    "usage: collect --tenant ID --client ID --machine ID --comment TEXT [...]\n"
    "\n"
    "Asks Microsoft Defender for Endpoint to collect an investigation package from a device and prints\n"
    "the machine action that does it.\n"
    "\n" USAGE_OF_MACHINE USAGE_OF_COMMENT USAGE_OF_SETTINGS
    "\n"
    "Ctrl-C cancels the call. A request that may have arrived is reported as such, not repeated.\n"
    "\n"
    "Exit codes: 0 a collection runs; 1 it failed or was cancelled; 2 the command line is wrong;\n"
    "3 it failed, but may succeed when tried again later.\n";

static void print_action(const char *json) {
    print_value(stdout, "action", json, "/action/id");
    print_value(stdout, "status", json, "/action/status");
    print_value(stdout, "machine", json, "/action/machineId");
    print_value(stdout, "computer", json, "/action/computerDnsName");
    print_value(stdout, "created", json, "/action/creationDateTimeUtc");
    print_value(stdout, "requestor", json, "/action/requestor");
    print_value(stdout, "comment", json, "/action/requestorComment");
    printf("%-12s %s\n", "adopted",
           json_is_true(json, "/adopted") ? "yes (it was running already)" : "no (started by this call)");
}

static int collect(const struct settings *s, const mde_client *client) {
    char *json = NULL;
    mde_cancel *cancel = mde_cancel_new(0);
    if (cancel == NULL || interrupts_start(cancel) != 0) {
        fprintf(stderr, "collect: cannot prepare for Ctrl-C\n");
        mde_cancel_free(cancel);
        return EXIT_FAILED;
    }
    int32_t status = mde_collect_package(client, s->machine, s->comment, cancel, &json);
    int code = status == MDE_OK ? EXIT_DONE : report(s, "collecting", status, json);
    /* With --json, programs read stdout, so it gets the document of a failure too. */
    if (s->json && json != NULL) {
        puts(json);
    } else if (status == MDE_OK) {
        print_action(json);
    }
    if (fflush(stdout) != 0 && code == EXIT_DONE) {
        fprintf(stderr, "collect: the collection runs, but stdout cannot be written\n");
        code = EXIT_FAILED;
    }
    /* Only after the output: until then a late Ctrl-C would end the program with the result unprinted. */
    interrupts_stop();
    mde_string_free(json);
    mde_cancel_free(cancel);
    return code;
}

int main(int argc, char **argv) {
    struct settings s = {.program = "collect", .usage = USAGE};
    mde_client *client = NULL;
    int code = settings_read(&s, argc, argv);
    if (code < 0) {
        code = settings_client(&s, &client);
    }
    if (code < 0) {
        code = collect(&s, client);
    }
    mde_client_free(client);
    return code;
}
