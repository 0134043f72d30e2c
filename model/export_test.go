package model

// LoadFrom is Load for a checkpoint that is open.
var LoadFrom = load
