-- Runs a test script: miltertest itself does not always say what error ended one.
local good, problem = xpcall(dofile, debug.traceback, _G.case)
if not good then
  print(problem)
  os.exit(1)
end
