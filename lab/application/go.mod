module lab/shop

go 1.26
