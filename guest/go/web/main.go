// web serve ADDR [N]: a web server, of N requests if that is given; each answer says what was asked for.
// web get URL: what is there, on standard output.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
)

func check(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "web: %v\n", err)
		os.Exit(1)
	}
}

func serve(addr string, n int) {
	l, err := net.Listen("tcp", addr)
	check(err)
	served := make(chan bool, n+1)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Connection", "close")
		fmt.Fprintf(w, "%s %s, %d bytes, from Plan 9\n", r.Method, r.URL.Path, len(body))
		served <- true
	})}
	go server.Serve(l)
	for i := 0; n == 0 || i < n; i++ {
		<-served
	}
	check(server.Shutdown(context.Background()))
}

func main() {
	switch {
	case len(os.Args) >= 3 && os.Args[1] == "serve":
		n := 0
		if len(os.Args) > 3 {
			n, _ = strconv.Atoi(os.Args[3])
		}
		serve(os.Args[2], n)
	case len(os.Args) == 3 && os.Args[1] == "get":
		r, err := http.Get(os.Args[2])
		check(err)
		_, err = io.Copy(os.Stdout, r.Body)
		check(err)
	default:
		fmt.Fprintln(os.Stderr, "usage: web serve ADDR [N], or web get URL")
		os.Exit(2)
	}
}
