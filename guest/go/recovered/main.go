// recovered: faults of the processor become panics of Go, and a program recovers from them.
package main

import (
	"fmt"
	"runtime/debug"
	"unsafe"
)

type big struct {
	_ [1 << 16]byte
	x int
}

//go:noinline
func deref(p *int) int { return *p }

//go:noinline
func far(p *big) int { return p.x }

//go:noinline
func divide(a, b int) int { return a / b }

func attempt(name string, f func()) {
	defer func() { fmt.Printf("%s: %v\n", name, recover()) }()
	f()
}

func main() {
	debug.SetPanicOnFault(true)
	attempt("read", func() { deref(nil) })
	attempt("write", func() { var p *int; *p = 1 })
	attempt("far", func() { far(nil) })
	attempt("kernel", func() { deref((*int)(unsafe.Pointer(uintptr(0xf0000000)))) })
	attempt("divide", func() { divide(1, 0) })
	attempt("call", func() { var f func(); f() })
	done := make(chan string)
	for range 3 {
		go func() {
			defer func() { done <- fmt.Sprint(recover()) }()
			deref(nil)
		}()
	}
	for range 3 {
		fmt.Println("goroutine:", <-done)
	}
}
