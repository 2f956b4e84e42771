// Every test here starts programs that compute on all cores and are watched by the clock.
[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)]
