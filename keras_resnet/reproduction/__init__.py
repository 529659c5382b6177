"""The paper's tables and figures as studies: which trainings each needs, which there are, and what they measured."""
