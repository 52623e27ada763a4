module lambda-freezer/sample_functions/go_streaming

go 1.18

require (
	github.com/aws/aws-lambda-go v1.54.0
	github.com/go-sql-driver/mysql v1.8.1
)

require filippo.io/edwards25519 v1.1.0 // indirect
