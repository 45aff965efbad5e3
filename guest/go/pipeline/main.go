// pipeline N: N numbers through a pipeline of three processes, itself in other roles, and their statuses.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

func numbers(arg string) error {
	n, err := strconv.Atoi(arg)
	w := bufio.NewWriter(os.Stdout)
	for i := range n {
		fmt.Fprintln(w, i)
	}
	return errors.Join(err, w.Flush())
}

func odd() error {
	w := bufio.NewWriter(os.Stdout)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if strings.HasSuffix(in.Text(), "1") {
			fmt.Fprintln(w, in.Text())
		}
	}
	return errors.Join(in.Err(), w.Flush())
}

func sum() error {
	total, lines := 0, 0
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		n, err := strconv.Atoi(in.Text())
		if err != nil {
			return err
		}
		total += n
		lines++
	}
	fmt.Println(lines, "lines, sum", total)
	return in.Err()
}

func pipeline(n string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	stages := []*exec.Cmd{exec.Command(self, "numbers", n), exec.Command(self, "odd"), exec.Command(self, "sum")}
	var in io.ReadCloser
	for i, c := range stages {
		c.Stderr = os.Stderr
		if in != nil {
			c.Stdin = in
		}
		if i == len(stages)-1 {
			c.Stdout = os.Stdout
		} else if in, err = c.StdoutPipe(); err != nil {
			return err
		}
		if err := c.Start(); err != nil {
			return err
		}
	}
	for i := len(stages) - 1; i >= 0; i-- {
		if err := stages[i].Wait(); err != nil {
			return err
		}
	}
	var status *exec.ExitError
	if err := exec.Command(self, "exit", "42").Run(); !errors.As(err, &status) {
		return fmt.Errorf("exit 42: %v", err)
	}
	fmt.Println("status", status.ExitCode())
	c := exec.Command(self, "env")
	c.Env = []string{"COLOUR=green"}
	out, err := c.CombinedOutput()
	fmt.Printf("%s", out)
	return err
}

func main() {
	args := append(os.Args[1:], "1000")
	var err error
	switch args[0] {
	case "numbers":
		err = numbers(args[1])
	case "odd":
		err = odd()
	case "sum":
		err = sum()
	case "exit":
		n, _ := strconv.Atoi(args[1])
		os.Exit(n)
	case "env":
		fmt.Println("COLOUR is", os.Getenv("COLOUR"))
	default:
		err = pipeline(args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pipeline:", err)
		os.Exit(1)
	}
}
