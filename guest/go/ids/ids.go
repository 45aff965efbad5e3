// Package ids hands out numbers, the last of which is kept in a file.
package ids

import (
	"os"
	"strconv"
)

// Next gives the number after the last one.
func Next(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return 0, err
	}
	last, _ := strconv.Atoi(string(text))
	return last + 1, os.WriteFile(file, []byte(strconv.Itoa(last+1)), 0o666)
}
