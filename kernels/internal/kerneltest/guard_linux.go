package kerneltest

import "syscall"

// mapGuarded maps size bytes between two pages without access.
func mapGuarded(size, page int) (mem []byte, free func(), err error) {
	all, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, nil, err
	}
	mem = all[page : page+size : page+size]
	if err := syscall.Mprotect(mem, syscall.PROT_READ|syscall.PROT_WRITE); err != nil {
		return nil, nil, err
	}
	return mem, func() { _ = syscall.Munmap(all) }, nil
}
