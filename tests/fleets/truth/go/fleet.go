// What the Go services of the ground-truth fleets have in common: arguments, routes, what is forwarded, truth lines.
// They differ in who writes the call: net/http's client (client.go), or the handler's goroutine itself (raw.go).
package main

import (
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// A call that a route makes.
type call struct {
	method, path    string
	dropsWhenBroken bool
}

var routes = map[string][]call{
	"keep": {{"GET", "/kept", false}},
	"drop": {{"GET", "/dropped", true}},
	"fan":  {{"GET", "/a", false}, {"GET", "/b", true}, {"GET", "/c", false}},
	"late": {{"POST", "/after", true}},
	"none": nil,
}

// How long after its answer a late call is made.
const late = 3 * time.Millisecond

// Makes a call to `target` (path and query) and returns the backend's X-Call.
type caller func(method, target string, headers map[string]string) (string, error)

// A service: how it makes one call, and how it makes those of a fan-out.
type service struct {
	variant string
	call    caller
	fan     func(calls []func() error) error
}

// Reads `PORT BACKEND_PORT VARIANT [--no-timer]` and serves for ever.
func serve(caller func(backend string) caller, fan func([]func() error) error) {
	port, backend, variant := os.Args[1], "127.0.0.1:"+os.Args[2], os.Args[3]
	s := &service{variant, caller(backend), fan}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	if len(os.Args) < 5 || os.Args[4] != "--no-timer" {
		go s.background()
	}
	log.Fatal(http.Serve(listener, s))
}

func (s *service) background() {
	for {
		time.Sleep(time.Duration(50+rand.IntN(301)) * time.Millisecond)
		if err := s.tell("-", "GET", "/config", nil); err != nil {
			log.Print("timer: ", err)
		}
	}
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.SplitN(r.URL.Path, "/", 3)
	route, id := parts[1], "-"
	if len(parts) == 3 {
		id = parts[2]
	}
	query := ""
	if r.URL.RawQuery != "" {
		query = "?" + r.URL.RawQuery
	}
	var calls []func() error
	for _, c := range routes[route] {
		headers := s.headers(r.Header, c)
		calls = append(calls, func() error { return s.tell(id, c.method, c.path+query, headers) })
	}
	if route == "late" {
		answer(w, http.StatusAccepted)
		// The answer leaves when this function returns.
		go func() {
			time.Sleep(late)
			if err := calls[0](); err != nil {
				log.Print("late: ", err)
			}
		}()
		return
	}
	var err error
	if len(calls) == 1 {
		err = calls[0]()
	} else {
		err = s.fan(calls)
	}
	if err != nil {
		log.Print(route, ": ", err)
		answer(w, http.StatusBadGateway)
		return
	}
	answer(w, http.StatusOK)
}

func answer(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Length", "3")
	w.WriteHeader(status)
	w.Write([]byte("ok\n"))
}

// Makes a call and tells the truth about it.
func (s *service) tell(id, method, target string, headers map[string]string) error {
	xCall, err := s.call(method, target, headers)
	if err == nil {
		// One write, so that lines do not mix.
		fmt.Println(id + " " + xCall)
	}
	return err
}

// The context headers of a call.
func (s *service) headers(in http.Header, c call) map[string]string {
	headers := map[string]string{}
	take := func(names ...string) {
		for _, name := range names {
			if value := in.Get(name); value != "" {
				headers[name] = value
			}
		}
	}
	forwards := s.variant == "healthy" || s.variant == "broken" && !c.dropsWhenBroken
	if fields := strings.Split(in.Get("traceparent"), "-"); forwards && len(fields) >= 4 {
		fields[2] = fmt.Sprintf("%016x", 1+rand.Uint64N(1<<63))
		headers["traceparent"] = strings.Join(fields, "-")
		take("tracestate")
	}
	if s.variant == "affine" {
		take("x-request-id", "authorization")
	}
	return headers
}
