#!/usr/bin/env python3
"""An HTTP API to try burngate with: python3 examples/sample_api.py PORT

It listens on 127.0.0.1, changes nothing, and answers every request with what it received, as JSON.
Each request is also written to stderr, so that one sees which calls the gate let through.
"""

import http.server
import json
import sys


class SampleApi(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.dumps({"method": self.command, "path": self.path}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_request(self, code="-", size="-"):
        print(f"sample API: {self.command} {self.path}", file=sys.stderr, flush=True)


def main():
    if len(sys.argv) != 2 or not sys.argv[1].isdigit() or not 0 < int(sys.argv[1]) < 65536:
        sys.exit("usage: python3 examples/sample_api.py PORT")
    port = int(sys.argv[1])
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), SampleApi)
    except OSError as error:
        where = f"127.0.0.1:{port}"
        sys.exit(f"sample_api.py: cannot listen on {where}: {error.strerror}; try another port")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
