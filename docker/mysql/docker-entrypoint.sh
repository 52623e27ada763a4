#!/bin/sh
# Start the MariaDB server; at the first start make the data directory, the database and the users asked for.
# Understands the variables of the official images, with the prefix MYSQL_ or MARIADB_:
# ROOT_PASSWORD, ALLOW_EMPTY_ROOT_PASSWORD (MYSQL_: ALLOW_EMPTY_PASSWORD), DATABASE, USER, PASSWORD.
set -eu

DATA=/var/lib/mysql
TEMPLATE=/usr/share/lambda-freezer/data

fail() {
    echo "docker-entrypoint.sh: $1" >&2
    exit 1
}

# A value as the inside of an SQL string or of a quoted identifier. Statements are lines, so a value must be one line.
text() { printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e "s/'/''/g"; }
name() { printf '%s' "$1" | sed -e 's/`/``/g'; }

demand_one_line() {
    case "$2" in *"
"*) fail "$1 must not contain a line break." ;; esac
}

# One statement a line, for the server's --init-file: it runs before the first client is let in.
first_statements() {
    root_text=$(text "$root_password")
    printf '%s\n' "ALTER USER 'root'@'localhost' IDENTIFIED BY '$root_text';"
    printf '%s\n' "CREATE USER 'root'@'%' IDENTIFIED BY '$root_text';"
    printf '%s\n' "GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;"
    database_name=$(name "$database")
    [ -z "$database" ] || printf '%s\n' "CREATE DATABASE \`$database_name\`;"
    [ -n "$user" ] || return 0
    account="'$(text "$user")'@'%'"
    printf '%s\n' "CREATE USER $account IDENTIFIED BY '$(text "$user_password")';"
    # In a grant, _ and % in a database name are wildcards.
    granted=$(printf '%s' "$database_name" | sed -e 's/[_%]/\\&/g')
    [ -z "$database" ] || printf '%s\n' "GRANT ALL PRIVILEGES ON \`$granted\`.* TO $account;"
}

case "${1:-}" in
    '' | -*) set -- mariadbd "$@" ;;
    mysqld | mariadbd) shift && set -- mariadbd "$@" ;;
    *) exec "$@" ;;
esac

[ "$(id -u)" != 0 ] || fail "The server does not run as root; leave out --user, or give --user mysql."
[ -w "$DATA" ] || fail "$DATA is not writable for user $(id -u); let user 999 own the folder mounted there."

if [ -d "$DATA/mysql" ]; then
    exec "$@"
fi

root_password=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}
allow_empty=${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-${MYSQL_ALLOW_EMPTY_PASSWORD:-}}
database=${MARIADB_DATABASE:-${MYSQL_DATABASE:-}}
user=${MARIADB_USER:-${MYSQL_USER:-}}
user_password=${MARIADB_PASSWORD:-${MYSQL_PASSWORD:-}}
[ -n "$root_password$allow_empty" ] || fail "Set MYSQL_ROOT_PASSWORD, or MYSQL_ALLOW_EMPTY_PASSWORD=yes."
[ -z "$user" ] || [ -n "$user_password" ] || fail "MYSQL_USER is set; set MYSQL_PASSWORD too."
[ "$user" != root ] || fail "MYSQL_USER must not be root; root is there already, with MYSQL_ROOT_PASSWORD."
demand_one_line MYSQL_ROOT_PASSWORD "$root_password"
demand_one_line MYSQL_DATABASE "$database"
demand_one_line MYSQL_USER "$user"
demand_one_line MYSQL_PASSWORD "$user_password"

cp -a "$TEMPLATE"/* "$DATA/"

# The statements hold passwords: the server reads them from a file that no longer has a name.
statements=$(mktemp)
first_statements > "$statements"
exec 3< "$statements"
rm "$statements"
exec "$@" --init-file=/proc/self/fd/3
