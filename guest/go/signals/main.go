// signals: notes that the program asked for arrive on a channel.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func post(note string) {
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/note", os.Getpid()), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(note)
		f.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "signals:", err)
		os.Exit(1)
	}
}

func main() {
	c := make(chan os.Signal, 4)
	signal.Notify(c, os.Interrupt, syscall.SIGHUP, syscall.Note("alarm"))
	for _, note := range []string{"interrupt", "hangup", "alarm"} {
		post(note)
		select {
		case s := <-c:
			fmt.Println("got", s)
		case <-time.After(5 * time.Second):
			fmt.Println(note, "did not arrive")
			os.Exit(1)
		}
	}
}
