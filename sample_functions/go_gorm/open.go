package main

import (
	"database/sql"
	"log"
	"os"

	driver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
)

func fromEnvironment() *driver.Config {
	config := driver.NewConfig()
	config.Net = "tcp"
	config.Addr = os.Getenv("DB_HOST") + ":" + os.Getenv("DB_PORT")
	config.User = os.Getenv("DB_USER")
	config.Passwd = os.Getenv("DB_PASSWORD")
	config.DBName = os.Getenv("DB_NAME")
	return config
}

// open dials at once, unlike sql.Open: GORM asks the server for its version.
func open(config *driver.Config) (*gorm.DB, error) {
	return gorm.Open(mysql.Open(config.FormatDSN()), &gorm.Config{})
}

// mustOpen is for init. Go's runtime client cannot report an error there: the process ends, the error is in the log,
// and Lambda starts the environment's next process with the next event.
func mustOpen(config *driver.Config) *gorm.DB {
	db, err := open(config)
	if err != nil {
		log.Fatal(err)
	}
	return db
}

// mustPool is the database/sql pool below GORM; there is always one where GORM has opened it.
func mustPool(db *gorm.DB) *sql.DB {
	pool, err := db.DB()
	if err != nil {
		log.Fatal(err)
	}
	return pool
}
