package main

import "github.com/spf13/cobra"

func (a *app) aiCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ai",
		Aliases: []string{"llm"},
		Short:   "Models: a stand-in for their providers, and what a run has asked them as a test",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.aiServeCommand(), a.aiExportCommand())
	return cmd
}
