// An HTTP service as Go people write them, a goroutine a connection, that calls a backend for every request.
//
// coroutine BACKEND_PORT
//
//	GET /own     the handler itself writes the call to a connection of its own
//	GET /client  the handler calls through net/http's pooled client, whose goroutines do the writing and reading
//
// The backend is asked for the same path, with the traceparent as it came. Prints "listening ADDR" and ends when its
// standard input does.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

var backend string

func main() {
	backend = "127.0.0.1:" + os.Args[1]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/own", handler(own))
	http.HandleFunc("/client", handler(client))
	go http.Serve(listener, nil)
	fmt.Println("listening", listener.Addr())
	io.Copy(io.Discard, os.Stdin)
}

func handler(call func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, received *http.Request) {
		request, err := http.NewRequest("POST", "http://"+backend+received.URL.Path, nil)
		if err == nil {
			request.Header.Set("traceparent", received.Header.Get("traceparent"))
			err = call(request)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

func own(request *http.Request) error {
	connection, err := net.Dial("tcp", backend)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := request.Write(connection); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), request)
	if err != nil {
		return err
	}
	return drain(response)
}

func client(request *http.Request) error {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return drain(response)
}

func drain(response *http.Response) error {
	defer response.Body.Close()
	_, err := io.Copy(io.Discard, response.Body)
	return err
}
