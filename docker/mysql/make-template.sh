#!/bin/sh
# Make the data directory that the first start of a container copies: system tables, and no account but root@localhost.
set -eu

TEMPLATE=/usr/share/lambda-freezer/data

mkdir -p "$TEMPLATE" /run/mysqld /var/lib/mysql
mariadb-install-db --user=mysql --datadir="$TEMPLATE" --auth-root-authentication-method=normal --skip-test-db
mariadbd --bootstrap --user=mysql --datadir="$TEMPLATE" <<SQL
DELETE FROM mysql.global_priv WHERE User NOT IN ('root', 'mariadb.sys') OR Host <> 'localhost';
DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';
SQL
chown -R mysql:mysql "$TEMPLATE" /run/mysqld /var/lib/mysql
