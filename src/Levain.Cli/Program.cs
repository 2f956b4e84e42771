using Levain.Cli;

return LevainCommand.Run(args);
