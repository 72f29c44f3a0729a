// A web server and a client of the standard library: "serve ADDRESS FOLDER", "get URL".
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	if os.Args[1] == "serve" {
		log.Fatal(http.ListenAndServe(os.Args[2], http.FileServer(http.Dir(os.Args[3]))))
	}
	response, err := http.Get(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if _, err = io.Copy(os.Stdout, response.Body); err != nil {
		log.Fatal(err)
	}
}
