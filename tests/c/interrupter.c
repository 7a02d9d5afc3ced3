/*
 * Sends Ctrl-C to a program under Windows, where only a process that shares its console can do so.
 *
 *     interrupter FILE PROGRAM ARGUMENTS...
 *
 * runs the program, sends Ctrl-C as soon as FILE is there, and ends with the program's exit code.
 */
#include <windows.h>

#include <stdio.h>
#include <wchar.h>

/* The rest of the command line, quotes and all, behind `count` words that have no quotes or blanks in them. */
static wchar_t *behind(wchar_t *line, int count) {
    while (count-- > 0) {
        line += wcscspn(line, L" ");
        line += wcsspn(line, L" ");
    }
    return line;
}

int main(int argc, char **argv) {
    STARTUPINFOW startup;
    PROCESS_INFORMATION child;
    DWORD code = 99;
    if (argc < 3) {
        return 98;
    }
    memset(&startup, 0, sizeof startup);
    startup.cb = sizeof startup;
    startup.dwFlags = STARTF_USESTDHANDLES;
    startup.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    startup.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
    startup.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    /* With a console of its own that has no window. */
    if (!CreateProcessW(NULL, behind(GetCommandLineW(), 2), NULL, NULL, TRUE, CREATE_NO_WINDOW, NULL, NULL, &startup,
                        &child)) {
        fprintf(stderr, "interrupter: no program: %lu\n", GetLastError());
        return 97;
    }
    /* Not before: a child would inherit it. */
    SetConsoleCtrlHandler(NULL, TRUE);
    FreeConsole();
    int sent = 0;
    while (WaitForSingleObject(child.hProcess, 20) == WAIT_TIMEOUT) {
        if (!sent && GetFileAttributesA(argv[1]) != INVALID_FILE_ATTRIBUTES) {
            sent = 1;
            if (!AttachConsole(child.dwProcessId) || !GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0)) {
                fprintf(stderr, "interrupter: not sent: %lu\n", GetLastError());
            }
        }
    }
    GetExitCodeProcess(child.hProcess, &code);
    return (int)code;
}
