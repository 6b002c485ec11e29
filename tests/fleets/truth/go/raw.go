// A client of its own, as database and cache drivers have: the handler's goroutine writes the request and reads the
// response, on a connection from a pool.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

func main() {
	serve(raw, inTurn)
}

// A connection with what was read ahead on it.
type connection struct {
	net.Conn
	reader *bufio.Reader
}

// Connections that nobody uses now; the last one in is the first one out.
type pool struct {
	mutex sync.Mutex
	idle  []*connection
}

func (p *pool) get(address string) (*connection, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		c := p.idle[last]
		p.idle = p.idle[:last]
		return c, nil
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{c, bufio.NewReader(c)}, nil
}

func (p *pool) put(c *connection) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.idle = append(p.idle, c)
}

func raw(backend string) caller {
	var idle pool
	return func(method, target string, headers map[string]string) (string, error) {
		c, err := idle.get(backend)
		if err != nil {
			return "", err
		}
		xCall, err := c.exchange(backend, method, target, headers)
		if err != nil {
			c.Close()
			return "", err
		}
		idle.put(c)
		return xCall, nil
	}
}

func (c *connection) exchange(host, method, target string, headers map[string]string) (string, error) {
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n", method, target, host)
	for name, value := range headers {
		fmt.Fprintf(&head, "%s: %s\r\n", name, value)
	}
	head.WriteString("\r\n")
	if _, err := io.WriteString(c, head.String()); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.Header.Get("X-Call"), err
}

func inTurn(calls []func() error) error {
	for _, call := range calls {
		if err := call(); err != nil {
			return err
		}
	}
	return nil
}
