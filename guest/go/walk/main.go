// walk DIR: every file below DIR with its size and a hash, and the totals.
package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	files, bytes := 0, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		bytes += len(data)
		rel, err := filepath.Rel(root, path)
		fmt.Printf("%.8x %d %s\n", sha256.Sum256(data), len(data), rel)
		return err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "walk:", err)
		os.Exit(1)
	}
	fmt.Println(files, "files,", bytes, "bytes")
}
