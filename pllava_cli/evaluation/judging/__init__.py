"""Having a language model say how good answers are: asking it, understanding it, keeping what it said."""
