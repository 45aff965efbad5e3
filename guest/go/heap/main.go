// heap GOROUTINES MEGABYTES: each goroutine keeps a list of checksummed blocks and replaces them again and again, so
// that the collector has work; together they hold MEGABYTES.
package main

import (
	"fmt"
	"hash/crc32"
	"os"
	"runtime"
	"strconv"
	"sync"
)

const (
	block  = 8 << 10
	rounds = 4
)

type node struct {
	next *node
	sum  uint32
	data []byte
}

func fill(seed uint32) *node {
	n := &node{data: make([]byte, block)}
	for i := range n.data {
		seed = seed*1664525 + 1013904223
		n.data[i] = byte(seed >> 24)
	}
	n.sum = crc32.ChecksumIEEE(n.data)
	return n
}

func worker(id, blocks int) error {
	var list *node
	for i := range blocks {
		n := fill(uint32(id<<16 | i))
		n.next, list = list, n
	}
	for r := range rounds {
		for at, i := &list, 0; *at != nil; at, i = &(*at).next, i+1 {
			old := *at
			if crc32.ChecksumIEEE(old.data) != old.sum {
				return fmt.Errorf("goroutine %d: block %d of round %d has changed", id, i, r)
			}
			if (i+r)%rounds == 0 {
				n := fill(old.sum)
				n.next, *at = old.next, n
			}
		}
		runtime.Gosched()
	}
	return nil
}

func main() {
	n, mega := 4, 8
	if len(os.Args) == 3 {
		n, _ = strconv.Atoi(os.Args[1])
		mega, _ = strconv.Atoi(os.Args[2])
	}
	var wg sync.WaitGroup
	errs := make([]error, n)
	for id := range n {
		wg.Go(func() { errs[id] = worker(id, mega<<20/block/n) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println("all blocks are whole, collected:", m.NumGC > 0)
}
