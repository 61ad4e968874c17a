"""Answers a program that speaks to us: by REST, in the manners of Twilio and Kannel, and over SMPP."""
