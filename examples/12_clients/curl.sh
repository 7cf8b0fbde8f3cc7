#!/bin/sh
# The service by curl: what there is, a picture, a refused picture, the figures.
#
#     edgevision serve runs/demo/model.edge
#     sh examples/12_clients/curl.sh photo.jpg [http://127.0.0.1:8765 [TOKEN]]
set -eu
photo=$1
server=${2:-http://127.0.0.1:8765}
ask() { curl --silent --show-error --fail-with-body ${token:+--header "Authorization: Bearer $token"} "$@"; echo; }
token=${3:-}

echo "ready:" && ask --output /dev/null --write-out '%{http_code}' "$server/v2/health/ready"
echo "server:" && ask "$server/v2"
# The raw body is the picture: no multipart, no base64. What cannot be answered within 2 s is refused before the work, with 503.
echo "recognised:" && ask --data-binary "@$photo" --header 'Content-Type: image/jpeg' --header 'EdgeVision-Deadline-Ms: 2000' \
    "$server/v1/recognise"
echo "refused:" && { printf 'no picture' | ask --data-binary @- --header 'Content-Type: image/jpeg' "$server/v1/recognise" || true; }
echo "figures:" && ask "$server/metrics" | head -n 3
