// ninep: a 9P2000 file server in one process, mounted and used by another.
package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "ninep: %s: %v\n", what, err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		check("serve", serve(os.Stdin))
		return
	}
	var p [2]int
	check("pipe", syscall.Pipe(p[:]))
	self, err := os.Executable()
	check("executable", err)
	server := exec.Command(self, "serve")
	server.Stdin = os.NewFile(uintptr(p[1]), "|1")
	server.Stderr = os.Stderr
	check("start", server.Start())
	syscall.Close(p[1])

	const mnt = "/tmp/ninep"
	check("mkdir", os.Mkdir(mnt, 0o777))
	check("mount", syscall.Mount(p[0], -1, mnt, syscall.MREPL|syscall.MCREATE, ""))
	client(mnt)
	check("unmount", syscall.Unmount("", mnt))
	check("server", server.Wait())
	fmt.Println("the server has ended")
}

func client(mnt string) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 3000)
	check("write", os.WriteFile(filepath.Join(mnt, "big"), big, 0o644))
	got, err := os.ReadFile(filepath.Join(mnt, "big"))
	check("read", err)
	fmt.Println("big is the same:", bytes.Equal(got, big))
	check("mkdir", os.Mkdir(filepath.Join(mnt, "d"), 0o755))
	check("write", os.WriteFile(filepath.Join(mnt, "d", "small"), []byte("small\n"), 0o600))
	check("walk", filepath.WalkDir(mnt, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Println(path[len(mnt):], info.Mode(), info.Size())
		}
		return err
	}))
	_, err = os.Open(filepath.Join(mnt, "none"))
	fmt.Println(err)
	f, err := os.Open(filepath.Join(mnt, "big"))
	check("open", err)
	_, err = f.Seek(-16, io.SeekEnd)
	check("seek", err)
	end, err := io.ReadAll(f)
	check("read", err)
	f.Close()
	fmt.Printf("%s\n", end)
	check("remove", os.Remove(filepath.Join(mnt, "big")))
	_, err = os.Stat(filepath.Join(mnt, "big"))
	fmt.Println(err)
}
