// net/http's client: a goroutine a connection writes the requests, another reads the responses; never the handler's own.
package main

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

func main() {
	serve(pooled, atOnce)
}

func pooled(backend string) caller {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// The default keeps two and would open a connection for almost every call of a busy service.
	transport.MaxIdleConnsPerHost = 64
	client := &http.Client{Transport: transport}
	return func(method, target string, headers map[string]string) (string, error) {
		request, err := http.NewRequest(method, "http://"+backend+target, nil)
		if err != nil {
			return "", err
		}
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		response, err := client.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		// Read to its end, or the connection is not used again.
		_, err = io.Copy(io.Discard, response.Body)
		return response.Header.Get("X-Call"), err
	}
}

func atOnce(calls []func() error) error {
	errs := make([]error, len(calls))
	var group sync.WaitGroup
	for i, call := range calls {
		group.Add(1)
		go func() {
			defer group.Done()
			errs[i] = call()
		}()
	}
	group.Wait()
	return errors.Join(errs...)
}
