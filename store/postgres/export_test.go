package postgres

// Channel is where a schema's hints go.
func Channel(name string) string { return schema(name).channel() }
