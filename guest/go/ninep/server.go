package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sort"
)

// Messages of 9P2000, intro(5).
const (
	tversion = 100 + 2*iota
	tauth
	tattach
	terror
	tflush
	twalk
	topen
	tcreate
	tread
	twrite
	tclunk
	tremove
	tstat
	twstat
)

const (
	msize  = 8192 + 24
	dmdir  = 1 << 31
	qtdir  = 0x80
	otrunc = 0x10
)

type file struct {
	name   string
	path   uint64
	mode   uint32
	data   []byte
	kids   map[string]*file // nil if it is no directory
	parent *file
}

type fid struct {
	f *file
}

type server struct {
	fids map[uint32]*fid
	root *file
	next uint64
}

var errNotExist = errors.New("file does not exist")

func (f *file) qid() []byte {
	q := make([]byte, 13)
	if f.kids != nil {
		q[0] = qtdir
	}
	binary.LittleEndian.PutUint64(q[5:], f.path)
	return q
}

func str(s string) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func (f *file) stat() []byte {
	le := binary.LittleEndian
	var b []byte
	b = le.AppendUint16(b, 0) // type
	b = le.AppendUint32(b, 0) // dev
	b = append(b, f.qid()...)
	b = le.AppendUint32(b, f.mode)
	b = le.AppendUint32(b, 0) // atime
	b = le.AppendUint32(b, 0) // mtime
	b = le.AppendUint64(b, uint64(len(f.data)))
	for _, s := range []string{f.name, "gopher", "gopher", ""} {
		b = append(b, str(s)...)
	}
	return append(le.AppendUint16(nil, uint16(len(b))), b...)
}

func (f *file) list() []byte {
	var names []string
	for n := range f.kids {
		names = append(names, n)
	}
	sort.Strings(names)
	var b []byte
	for _, n := range names {
		b = append(b, f.kids[n].stat()...)
	}
	return b
}

// A message's body, taken apart from the front.
type body struct{ *bytes.Reader }

func (b body) u8() byte { c, _ := b.ReadByte(); return c }

func number[T uint16 | uint32 | uint64](b body) (n T) {
	binary.Read(b, binary.LittleEndian, &n)
	return n
}

func (b body) bytes(n int) []byte {
	buf := make([]byte, min(n, b.Len()))
	io.ReadFull(b, buf)
	return buf
}

func (b body) str() string { return string(b.bytes(int(number[uint16](b)))) }

func serve(rw io.ReadWriter) error {
	s := &server{fids: map[uint32]*fid{}, next: 1}
	s.root = &file{name: "/", mode: dmdir | 0o777, kids: map[string]*file{}}
	s.root.parent = s.root
	for {
		// A pipe keeps the boundaries of messages, but a reader must not count on it.
		var size [4]byte
		if _, err := io.ReadFull(rw, size[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		msg := make([]byte, binary.LittleEndian.Uint32(size[:])-4)
		if _, err := io.ReadFull(rw, msg); err != nil {
			return err
		}
		kind, tag := msg[0], msg[1:3]
		answer, err := s.answer(kind, body{bytes.NewReader(msg[3:])})
		if err != nil {
			kind, answer = terror, str(err.Error())
		}
		out := binary.LittleEndian.AppendUint32(nil, uint32(7+len(answer)))
		out = append(append(append(out, kind+1), tag...), answer...)
		if _, err := rw.Write(out); err != nil {
			return err
		}
	}
}

func (s *server) answer(kind byte, b body) ([]byte, error) {
	le := binary.LittleEndian
	switch kind {
	case tversion:
		return append(le.AppendUint32(nil, min(number[uint32](b), msize)), str("9P2000")...), nil
	case tauth:
		return nil, errors.New("no authentication required")
	case tflush:
		return nil, nil
	case tattach:
		s.fids[number[uint32](b)] = &fid{s.root}
		return s.root.qid(), nil
	}
	n := number[uint32](b)
	fd := s.fids[n]
	if fd == nil {
		return nil, errors.New("unknown fid")
	}
	f := fd.f
	switch kind {
	case twalk:
		return s.walk(f, b)
	case topen:
		if b.u8()&otrunc != 0 {
			f.data = nil
		}
		return le.AppendUint32(f.qid(), msize-24), nil
	case tcreate:
		name, mode := b.str(), number[uint32](b)
		if f.kids == nil || f.kids[name] != nil {
			return nil, errors.New("file already exists")
		}
		kid := &file{name: name, path: s.next, mode: mode, parent: f}
		s.next++
		if mode&dmdir != 0 {
			kid.kids = map[string]*file{}
		}
		f.kids[name] = kid
		fd.f = kid
		return le.AppendUint32(kid.qid(), msize-24), nil
	case tread:
		at, count := number[uint64](b), number[uint32](b)
		data := f.data
		if f.kids != nil {
			data = f.list()
		}
		data = data[min(at, uint64(len(data))):]
		data = data[:min(int(count), len(data))]
		return append(le.AppendUint32(nil, uint32(len(data))), data...), nil
	case twrite:
		at, count := number[uint64](b), number[uint32](b)
		data := b.bytes(int(count))
		if end := int(at) + len(data); end > len(f.data) {
			f.data = append(f.data, make([]byte, end-len(f.data))...)
		}
		copy(f.data[at:], data)
		return le.AppendUint32(nil, uint32(len(data))), nil
	case tclunk:
		delete(s.fids, n)
		return nil, nil
	case tremove:
		delete(s.fids, n)
		delete(f.parent.kids, f.name)
		return nil, nil
	case tstat:
		st := f.stat()
		return append(le.AppendUint16(nil, uint16(len(st))), st...), nil
	case twstat:
		return nil, nil
	}
	return nil, errors.New("unknown message")
}

func (s *server) walk(f *file, b body) ([]byte, error) {
	newfid, count := number[uint32](b), number[uint16](b)
	var qids []byte
	for i := range count {
		name := b.str()
		next := f.kids[name]
		if name == ".." {
			next = f.parent
		}
		if next == nil {
			if i == 0 {
				return nil, errNotExist
			}
			return append(binary.LittleEndian.AppendUint16(nil, i), qids...), nil
		}
		f = next
		qids = append(qids, f.qid()...)
	}
	s.fids[newfid] = &fid{f}
	return append(binary.LittleEndian.AppendUint16(nil, count), qids...), nil
}
