module lab/images

go 1.26
