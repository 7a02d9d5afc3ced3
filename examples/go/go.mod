module mde.example/fetch

go 1.19
