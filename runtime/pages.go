package runtime

import (
	"fmt"

	"armor/kernels"
)

// pagePool hands out the numbers of KV pages within a budget of bytes.
type pagePool struct {
	kv    kernels.KV
	free  []int32
	made  int // pages that exist
	limit int
}

func newPagePool(kv kernels.KV, budget int64) (*pagePool, error) {
	limit := budget / kv.PageBytes()
	if limit < 1 {
		return nil, fmt.Errorf("a KV budget of %d bytes holds no page of %d", budget, kv.PageBytes())
	}
	return &pagePool{kv: kv, limit: int(min(limit, 1<<30))}, nil
}

func (p *pagePool) canAllocate(n int) bool { return len(p.free)+p.limit-p.made >= n }

// allocate appends pages to a sequence's until they hold positions.
func (p *pagePool) allocate(pages []int32, positions int) ([]int32, error) {
	for len(pages) < kernels.PagesFor(positions) {
		if len(p.free) == 0 {
			if p.made == p.limit {
				return pages, fmt.Errorf("all %d KV pages are in use", p.limit)
			}
			if err := p.kv.Reserve(p.made + 1); err != nil {
				return pages, err
			}
			p.free = append(p.free, int32(p.made))
			p.made++
		}
		last := len(p.free) - 1
		pages = append(pages, p.free[last])
		p.free = p.free[:last]
	}
	return pages, nil
}

func (p *pagePool) release(pages []int32) []int32 {
	p.free = append(p.free, pages...)
	return pages[:0]
}
