// Files over node's http: "serve PORT FOLDER", "get URL" to standard output.
const [what, where, folder] = process.argv.slice(2);
const fs = require("fs");
const http = require("http");

if (what === "serve")
	http.createServer((request, answer) => fs.createReadStream(folder + request.url).pipe(answer)).listen(Number(where));
else
	http.get(where, answer => answer.pipe(process.stdout));
