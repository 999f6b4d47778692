module hashdb.example

go 1.21
