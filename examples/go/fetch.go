// Fetches an investigation package from one device, and shows progress. Ctrl-C stops it; the same command resumes.
//
//	go run . MACHINE COMMENT PATH
//
// The options of the library are read from MDE_OPTION_<NAME>. Exit codes: 0 the package is there; 1 it failed; 2 wrong
// usage; 3 try again later. pkg-config finds the library.
package main

/*
#cgo pkg-config: mde
#include <stdint.h>
#include <stdlib.h>
#include <mde.h>

extern int32_t goProgress(uintptr_t progress, char *event_json);

// An exported Go function cannot have const arguments, and a handle of Go is a number, which must not lie where Go
// expects a pointer.
static inline int32_t on_progress(void *user_data, const char *event_json)
{
    return goProgress((uintptr_t)user_data, (char *)event_json);
}

static inline mde_status fetch(const mde_client *client, const char *machine, const char *comment, const char *path,
                               uintptr_t progress, const mde_cancel *cancel, char **out_json)
{
    return mde_fetch_package(client, machine, comment, path, on_progress, (void *)progress, cancel, out_json);
}
*/
import "C"

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime/cgo"
	"strings"
	"sync"
	"unsafe"
)

// Error is the error document of a call.
type Error struct {
	Status    int    `json:"status"`
	Name      string `json:"name"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d): %s", e.Name, e.Status, e.Message) }

// take frees a document of the library, and returns it or the error in it.
func take(status C.mde_status, document *C.char) (string, error) {
	defer C.mde_string_free(document) // NULL is allowed.
	text := ""
	if document != nil {
		text = C.GoString(document)
	}
	if status == C.MDE_OK {
		return text, nil
	}
	failed := struct {
		Error Error `json:"error"`
	}{Error{Status: int(status), Message: text}}
	_ = json.Unmarshal([]byte(text), &failed)
	return "", &failed.Error
}

// Client is safe for any number of goroutines.
type Client struct{ native *C.mde_client }

// NewClient takes options by name.
func NewClient(options map[string]string) (*Client, error) {
	native := C.mde_options_new()
	defer C.mde_options_free(native)
	for name, value := range options {
		cName, cValue := C.CString(name), C.CString(value)
		var document *C.char
		status := C.mde_options_set(native, cName, cValue, &document)
		C.free(unsafe.Pointer(cName))
		C.free(unsafe.Pointer(cValue))
		if _, err := take(status, document); err != nil {
			return nil, err
		}
	}
	client := &Client{}
	var document *C.char
	status := C.mde_client_new(native, &client.native, &document)
	if _, err := take(status, document); err != nil {
		return nil, err
	}
	return client, nil
}

// Close frees the client. No call may run.
func (c *Client) Close() { C.mde_client_free(c.native) }

//export goProgress
func goProgress(handle C.uintptr_t, event *C.char) (result C.int32_t) {
	// A panic must not pass through the library: it becomes the answer that ends the call.
	defer func() {
		if recover() != nil {
			result = 1
		}
	}()
	cgo.Handle(handle).Value().(func(string))(C.GoString(event))
	return 0
}

// Fetch blocks its goroutine. The context ends it from another one.
func (c *Client) Fetch(ctx context.Context, machine, comment, path string, progress func(string)) (string, error) {
	cancel := C.mde_cancel_new(0)
	defer C.mde_cancel_free(cancel)
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Add(1)
	go func() {
		defer watcher.Done()
		select {
		case <-ctx.Done():
			C.mde_cancel_trigger(cancel)
		case <-ended:
		}
	}()
	// In this order: end the watcher, wait for it, and only then free what it uses.
	defer watcher.Wait()
	defer close(ended)

	handle := cgo.NewHandle(progress)
	defer handle.Delete()
	cMachine, cComment, cPath := C.CString(machine), C.CString(comment), C.CString(path)
	defer C.free(unsafe.Pointer(cMachine))
	defer C.free(unsafe.Pointer(cComment))
	defer C.free(unsafe.Pointer(cPath))
	var document *C.char
	status := C.fetch(c.native, cMachine, cComment, cPath, C.uintptr_t(handle), cancel, &document)
	return take(status, document)
}

func run(arguments []string) int {
	if len(arguments) != 3 {
		fmt.Fprintln(os.Stderr, "usage: fetch MACHINE COMMENT PATH")
		return 2
	}
	options := map[string]string{}
	for _, variable := range os.Environ() {
		if name, value, found := strings.Cut(variable, "="); found && strings.HasPrefix(name, "MDE_OPTION_") {
			options[strings.ToLower(strings.TrimPrefix(name, "MDE_OPTION_"))] = value
		}
	}
	client, err := NewClient(options)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer client.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	document, err := client.Fetch(ctx, arguments[0], arguments[1], arguments[2], func(event string) {
		fmt.Fprintln(os.Stderr, event)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		if failed, ok := err.(*Error); ok && failed.Retryable {
			return 3
		}
		return 1
	}
	fmt.Println(document)
	return 0
}

func main() { os.Exit(run(os.Args[1:])) }
