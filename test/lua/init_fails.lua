-- fault: command line: module init_fails: init() returned nil, not true
msys.registerModule("init_fails", { init = function() end })
