// Package ext adds nothing to the configuration. Traefik's is a module inside of a module, which
// archives of modules leave out.
package ext

// HTTP is embedded in the configuration.
type HTTP struct{}

// Router is embedded in that of a router.
type Router struct{}
