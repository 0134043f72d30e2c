module armor/kernels/amd64/gen

go 1.26
