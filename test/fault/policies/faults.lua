-- SPDX-License-Identifier: MIT
-- Everything that a script should not do, by name.
local faults = {}

faults["while"] = function()
  while true do end
end

function faults.count()
  local sum = 0
  for i = 1, 1e15 do
    sum = sum + i % 7
  end
  return sum
end

function faults.tables()
  local last
  while true do
    last = { last and #last, {}, { 1, 2, 3 } }
    for i = 1, 50 do
      last[i] = { i }
    end
  end
end

function faults.strings()
  local n = 0
  while true do
    n = n + 1
    local s = "number " .. n .. string.rep("x", n % 1000)
    s = string.gsub(s, "x", "yy") .. string.format("%d %s", n, s)
  end
end

function faults.tailcalls()
  local function on(n)
    return on(n + 1)
  end
  return on(1)
end

function faults.pcalls()
  while true do
    pcall(error, { "swallowed" })
    pcall(function()
      while true do
        pcall(error, "swallowed, too")
      end
    end)
  end
end

function faults.nested()
  local function deeper()
    while true do
      pcall(deeper)
    end
  end
  deeper()
end

function faults.pattern()
  return string.find(string.rep("a", 60), string.rep("a*", 40) .. "b")
end

function faults.rep()
  return ("x"):rep(1e9)
end

function faults.recursion()
  local function deeper(n)
    return 1 + deeper(n + 1)
  end
  return deeper(1)
end

function faults.coroutine()
  local function never()
    while true do
      coroutine.yield(1)
    end
  end
  local co = coroutine.wrap(never)
  while true do
    co()
  end
end

function faults.inside()
  return coroutine.wrap(function()
    while true do end
  end)()
end

function faults.result()
  local list = {}
  for i = 1, 100 do
    list[i] = string.rep(string.char(i), 1024 * 1024)
  end
  return table.concat(list)
end

-- Not let go: the state is full from then on.
function faults.hoard()
  hoarded = hoarded or {}
  while true do
    hoarded[#hoarded + 1] = { #hoarded }
  end
end

function faults.error()
  error("as told")
end

function faults.crash()
  local ffi = require("ffi")
  ffi.cast("int *", 8)[0] = 1
end

function faults.exit()
  os.exit(3)
end

-- Signals end this wait, and it begins again.
function faults.asleep()
  local ffi = require("ffi")
  pcall(ffi.cdef, "unsigned sleep(unsigned);")
  while true do
    ffi.C.sleep(600)
  end
end

-- Signals do not even end this one.
function faults.stuck()
  local ffi = require("ffi")
  pcall(ffi.cdef, "int pipe(int *); long read(int, void *, unsigned long);")
  local ends, byte = ffi.new("int[2]"), ffi.new("char[1]")
  ffi.C.pipe(ends)
  ffi.C.read(ends[0], byte, 1)
end

