package jinja

// comparisons are tests that are operators.
var comparisons = map[string]string{
	"eq": "==", "equalto": "==", "==": "==", "ne": "!=", "!=": "!=",
	"lt": "<", "lessthan": "<", "<": "<", "le": "<=", "<=": "<=",
	"gt": ">", "greaterthan": ">", ">": ">", "ge": ">=", ">=": ">=",
}

// test is {{ v is name(args) }}.
func (m *machine) test(name string, v Value, a *arguments) bool {
	m.spend(len(name)) // which select takes from any text
	ok := m.testValue(name, v, a)
	a.end(name)
	return ok
}

func (m *machine) testValue(name string, v Value, a *arguments) bool {
	v = plain(v)
	n, isNumber := toNumber(v)
	_, isBool := v.(bool)
	_, isBig := v.(bigInt)
	_, isUndefined := v.(undefined)
	seq, isSeq := v.(*Seq)
	_, isDict := v.(*Dict)
	_, isString := v.(string)
	switch name {
	case "defined":
		return !isUndefined
	case "undefined":
		return isUndefined
	case "none":
		return isNone(v)
	case "boolean":
		return isBool
	case "true", "false":
		return isBool && v == (name == "true")
	case "integer":
		return isBig || isNumber && n.exact && !isBool
	case "float":
		return isNumber && !n.exact
	case "number":
		return isNumber || isBig
	case "string":
		return isString
	case "mapping":
		return isDict
	case "sequence":
		return isString || isDict || isUndefined || isSeq && seq.kind != generator
	case "iterable":
		return isString || isDict || isUndefined || isSeq
	case "callable":
		_, isFunction := v.(*function)
		return isFunction || isUndefined
	case "odd", "even":
		return m.equal(m.binary("%", v, int64(2)), int64(1)) == (name == "odd")
	case "divisibleby":
		return m.equal(m.binary("%", v, a.req("num")), int64(0))
	case "in":
		return m.contains(a.req("seq"), v)
	}
	if op, ok := comparisons[name]; ok {
		return m.compare(op, v, a.req("other"))
	}
	failf("no test named %s is supported", quoteName(name))
	return false
}
