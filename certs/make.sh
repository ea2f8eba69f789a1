#!/bin/sh
# Creates certificates for a cluster without cert-manager: a CA, a server certificate for
# Apportion, and a client certificate for a kube-scheduler that calls the extender. See README.md in
# this directory.
#
#   certs/make.sh DIRECTORY [NAME...]
#
# NAME is an additional DNS name or IP address of the server. SERVICE and NAMESPACE (default:
# apportion, apportion-system) and DAYS (default: 365) can be set in the environment.
set -eu
umask 077

fail() {
    echo "make.sh: $1" >&2
    exit 2
}

[ $# -ge 1 ] || fail "usage: certs/make.sh DIRECTORY [NAME...]"
command -v openssl >/dev/null || fail "needs openssl"
directory=$1
shift
service=${SERVICE:-apportion}
namespace=${NAMESPACE:-apportion-system}
days=${DAYS:-365}

# A second run must not overwrite keys that are in use.
mkdir -p "$directory"
for file in ca.crt ca.key tls.crt tls.key client.crt client.key; do
    [ ! -e "$directory/$file" ] || fail "$directory/$file exists; choose another directory, or remove it first"
done

names="DNS:$service.$namespace.svc,DNS:$service.$namespace.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:::1"
for name in "$@"; do
    case $name in
        *:*) names="$names,IP:$name" ;;
        *[!0-9.]*) names="$names,DNS:$name" ;;
        *) names="$names,IP:$name" ;;
    esac
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

# sign NAME SUBJECT EXTENSIONS: creates a key and a certificate signed by the CA.
sign() {
    key "$work/$1.key"
    printf '%s\n' "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" \
        "subjectKeyIdentifier=hash" "authorityKeyIdentifier=keyid" "$3" >"$work/$1.ext"
    openssl req -new -key "$work/$1.key" -subj "$2" -out "$work/$1.csr"
    openssl x509 -req -in "$work/$1.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
        -days "$days" -sha256 -extfile "$work/$1.ext" -out "$work/$1.crt" 2>/dev/null
}

key "$work/ca.key"
printf '%s\n' "[req]" "distinguished_name=name" "x509_extensions=authority" "[name]" "[authority]" \
    "basicConstraints=critical,CA:TRUE,pathlen:0" "keyUsage=critical,keyCertSign,cRLSign" \
    "subjectKeyIdentifier=hash" >"$work/ca.cnf"
openssl req -x509 -new -key "$work/ca.key" -config "$work/ca.cnf" -subj "/CN=apportion authority" -days "$days" -sha256 \
    -out "$work/ca.crt"
sign tls "/CN=$service.$namespace.svc" "extendedKeyUsage=serverAuth
subjectAltName=$names"
sign client "/CN=kube-scheduler" "extendedKeyUsage=clientAuth"

# Move all files at the end: a directory with some of them would make the next run fail.
for name in ca tls client; do
    mv "$work/$name.crt" "$work/$name.key" "$directory/"
done

cat <<END
Wrote to $directory, valid for $days days:
  ca.crt                  the CA: caBundle of the webhook configuration, caFile of the extender
  ca.key                  its key: move it to a safe place; the cluster does not need it
  tls.crt, tls.key        the server, for $names
  client.crt, client.key  kube-scheduler, for tlsConfig of the extender

Next, either on this machine:
  apportion serve --policies policies --tls-cert $directory/tls.crt --tls-key $directory/tls.key
or in a cluster:
  kubectl -n $namespace create secret tls apportion-tls --cert=$directory/tls.crt --key=$directory/tls.key
  base64 <$directory/ca.crt | tr -d '\n'    # the caBundle
To accept only this kube-scheduler: --extender-client-ca $directory/ca.crt
END
