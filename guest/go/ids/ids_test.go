package ids

import (
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestNoNumberIsGivenTwice(t *testing.T) {
	var (
		file  = filepath.Join(t.TempDir(), "last")
		group sync.WaitGroup
		given sync.Map
	)
	for range 2 {
		group.Go(func() {
			for range 5 {
				time.Sleep(time.Millisecond)
				n, err := Next(file)
				if err != nil {
					t.Error(err)
				}
				if _, twice := given.LoadOrStore(n, true); twice {
					t.Errorf("%d is given twice", n)
				}
			}
		})
	}
	group.Wait()
}
