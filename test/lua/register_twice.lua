-- fault: register_twice.lua:3: msys.registerModule: the module name 'register_twice' is taken
msys.registerModule("register_twice", {})
msys.registerModule("register_twice", {})
